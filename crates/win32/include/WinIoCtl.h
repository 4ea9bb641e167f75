#include "winioctl.h"
