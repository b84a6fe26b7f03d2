#pragma once
// What both halves of doorbuster.so share: plain structs, status codes, limits.
#include <stdint.h>
