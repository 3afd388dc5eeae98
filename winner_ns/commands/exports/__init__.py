"""What `winner-ns export` writes, a file each."""
