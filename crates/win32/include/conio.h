/* The console, as far as it is the standard input. */
#ifndef RINGBRIDGE_CONIO_H
#define RINGBRIDGE_CONIO_H

#include <stdio.h>
#define _getch() getchar()

#endif
