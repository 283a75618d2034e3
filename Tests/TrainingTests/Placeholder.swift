// Keeps the target while its first tests are on their way.
