// Placeholder so that the empty target builds until its first file lands.
