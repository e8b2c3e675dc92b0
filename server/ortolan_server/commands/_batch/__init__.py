"""What `ortolan batch` is made of. Needs pyarrow."""
