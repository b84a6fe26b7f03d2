#include "stock_abi.h"
