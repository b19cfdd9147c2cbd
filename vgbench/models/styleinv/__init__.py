"""StyleInV: videos by inverting one image to another frame at each time."""
