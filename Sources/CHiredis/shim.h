#pragma once
#include <hiredis/hiredis.h>
/* The driver's I/O thread is woken through an eventfd, which Swift's Glibc module leaves out. */
#include <sys/eventfd.h>
