// borrower.sys: a driver that imports from library.sys alone.
#include <ntddk.h>

#include "library.h"

static VOID NTAPI unload(DRIVER_OBJECT *driver) { UNREFERENCED_PARAMETER(driver); }

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *registry_path) {
    UNREFERENCED_PARAMETER(registry_path);
    driver->DriverUnload = unload;
    return LibraryAdd(1, 1) == 2 ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
}
