// dlopen and dlclose of tests/drivers/load.c as a shared object, with its entry and unload routine called in between.
// Prints the median of one round in nanoseconds. What the object imports is here, and does as good as nothing.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static char driver_object[0x150], device_object[0x150];

unsigned IoCreateDevice(void *driver, unsigned extension, void *name, unsigned type, unsigned flags, unsigned char exclusive,
                        void **device) {
    (void)extension, (void)name, (void)type, (void)flags, (void)exclusive;
    *device = *(void **)((char *)driver + 8) = device_object;
    return 0;
}
void IoDeleteDevice(void *device) { (void)device; }
unsigned IoCreateSymbolicLink(void *link, void *name) { return (void)link, (void)name, 0u; }
unsigned IoDeleteSymbolicLink(void *link) { return (void)link, 0u; }
void IofCompleteRequest(void *irp, char boost) { (void)irp, (void)boost; }
void RtlInitUnicodeString(void *string, const unsigned short *text) {
    *(const unsigned short **)((char *)string + 8) = text;
}

static int compare(const void *left, const void *right) {
    double difference = *(const double *)left - *(const double *)right;
    return (difference > 0) - (difference < 0);
}

int main(int count, char **arguments) {
    enum { ROUNDS = 2001 };
    static double times[ROUNDS];
    if (count < 2)
        return 2;
    for (int round = 0; round < ROUNDS; round++) {
        struct timespec start, end;
        clock_gettime(CLOCK_MONOTONIC, &start);
        void *object = dlopen(arguments[1], RTLD_NOW);
        unsigned (*entry)(void *, void *) = object ? (unsigned (*)(void *, void *))dlsym(object, "DriverEntry") : NULL;
        if (!entry || entry(driver_object, NULL) != 0) {
            fprintf(stderr, "%s\n", dlerror());
            return 1;
        }
        (*(void (**)(void *))(driver_object + 0x68))(driver_object);
        dlclose(object);
        clock_gettime(CLOCK_MONOTONIC, &end);
        times[round] = (double)(end.tv_sec - start.tv_sec) * 1e9 + (double)(end.tv_nsec - start.tv_nsec);
    }
    qsort(times, ROUNDS, sizeof *times, compare);
    printf("%.1f\n", times[ROUNDS / 2]);
    return 0;
}
