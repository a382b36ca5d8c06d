"""What single names, numbers and times say, wherever they stand."""
