// unknown.sys: imports a name that no kernel has ever had, beside one that is only named.
#include <ntddk.h>

NTKERNELAPI VOID NTAPI RbNoSuchExport(VOID);
NTKERNELAPI NTSTATUS NTAPI PsSuspendProcess(PVOID process);

NTSTATUS NTAPI DriverEntry(DRIVER_OBJECT *driver, UNICODE_STRING *path) {
    UNREFERENCED_PARAMETER(path);
    RbNoSuchExport();
    return PsSuspendProcess(driver);
}
