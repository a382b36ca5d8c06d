"""Tricks of the process: threads, malloc, lazy NumPy, shutdown. Nowhere else."""
