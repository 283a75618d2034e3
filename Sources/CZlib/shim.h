// The system's zlib (Debian: zlib1g-dev; macOS: part of the SDK), for reading gzip files.
#include <zlib.h>
