"""What each kind of signal looks like from a camera, and nerfstudio's viewer opened on it."""
