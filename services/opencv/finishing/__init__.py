"""The OpenCV service: finishes a shot's frames (interpolation, grade, grain) and inspects the finished film."""
