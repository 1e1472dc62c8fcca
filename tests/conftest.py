"""What all tests share: hypothesis without wall-clock deadlines, on machines that are not ours."""

from hypothesis import settings

settings.register_profile("interplay", deadline=None)
settings.load_profile("interplay")
