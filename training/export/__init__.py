"""From a trained model to the artefact that serves."""
