"""The policy in serving: from the model's scores to what is offered, by features.policy."""
