#include "doorbuster_module.h"
