/* Loads a driver by services, uses it, and unloads it.
 *
 *     service FILE.sys */
#include <windows.h>
#include <string.h>
#include "check.h"

int main(int argc, char **argv) {
    SC_HANDLE manager, service, again;
    SERVICE_STATUS status;
    SERVICE_STATUS_PROCESS process;
    DWORD needed = 0;
    HANDLE device;
    char path[600] = "\\??\\";
    CHECK(argc > 1);
    strcat(path, argv[1]);
    manager = OpenSCManagerA(NULL, NULL, SC_MANAGER_ALL_ACCESS);
    CHECK(manager != NULL);
    FAILS(OpenServiceA(manager, "rb_hello", SERVICE_ALL_ACCESS), ERROR_SERVICE_DOES_NOT_EXIST);
    FAILS(OpenServiceA(NULL, "rb_hello", SERVICE_ALL_ACCESS), ERROR_INVALID_HANDLE);
    FAILS(CreateServiceA(manager, "a\\b", NULL, SERVICE_ALL_ACCESS, SERVICE_KERNEL_DRIVER, SERVICE_DEMAND_START, SERVICE_ERROR_NORMAL, path, NULL, NULL, NULL, NULL, NULL), ERROR_INVALID_NAME);
    FAILS(CreateServiceA(manager, NULL, NULL, SERVICE_ALL_ACCESS, SERVICE_KERNEL_DRIVER, SERVICE_DEMAND_START, SERVICE_ERROR_NORMAL, path, NULL, NULL, NULL, NULL, NULL), ERROR_INVALID_PARAMETER);
    FAILS(CreateServiceA(manager, "rb_none", NULL, SERVICE_ALL_ACCESS, SERVICE_WIN32_OWN_PROCESS, SERVICE_DEMAND_START, SERVICE_ERROR_NORMAL, path, NULL, NULL, NULL, NULL, NULL), ERROR_NOT_SUPPORTED);

    service = CreateServiceA(manager, "rb_none", NULL, SERVICE_ALL_ACCESS, SERVICE_KERNEL_DRIVER, SERVICE_DEMAND_START, SERVICE_ERROR_NORMAL, "/nowhere/none.sys", NULL, NULL, NULL, NULL, NULL);
    CHECK(service != NULL);
    FAILS(StartServiceA(service, 0, NULL), ERROR_FILE_NOT_FOUND);
    CHECK(DeleteService(service));
    FAILS(DeleteService(service), ERROR_SERVICE_MARKED_FOR_DELETE);
    CHECK(CloseServiceHandle(service));
    FAILS(CloseServiceHandle(service), ERROR_INVALID_HANDLE);
    FAILS(OpenServiceW(manager, L"rb_none", SERVICE_ALL_ACCESS), ERROR_SERVICE_DOES_NOT_EXIST);

    service = CreateServiceA(manager, "rb_hello", "Hello", SERVICE_ALL_ACCESS, SERVICE_KERNEL_DRIVER, SERVICE_DEMAND_START, SERVICE_ERROR_NORMAL, path, NULL, NULL, NULL, NULL, NULL);
    CHECK(service != NULL);
    FAILS(CreateServiceA(manager, "RB_HELLO", NULL, SERVICE_ALL_ACCESS, SERVICE_KERNEL_DRIVER, SERVICE_DEMAND_START, SERVICE_ERROR_NORMAL, path, NULL, NULL, NULL, NULL, NULL), ERROR_SERVICE_EXISTS);
    CHECK(QueryServiceStatus(service, &status) && status.dwCurrentState == SERVICE_STOPPED);
    FAILS(ControlService(service, SERVICE_CONTROL_STOP, &status), ERROR_SERVICE_NOT_ACTIVE);
    FAILS(ControlService(service, SERVICE_CONTROL_STOP, NULL), ERROR_INVALID_PARAMETER);
    CHECK(StartServiceA(service, 0, NULL));
    FAILS(StartServiceW(service, 0, NULL), ERROR_SERVICE_ALREADY_RUNNING);
    FAILS(QueryServiceStatusEx(service, SC_STATUS_PROCESS_INFO, NULL, 0, &needed), ERROR_INSUFFICIENT_BUFFER);
    CHECK(needed == sizeof(process));
    CHECK(QueryServiceStatusEx(service, SC_STATUS_PROCESS_INFO, (LPBYTE)&process, sizeof(process), &needed));
    CHECK(process.dwCurrentState == SERVICE_RUNNING && process.dwServiceType == SERVICE_KERNEL_DRIVER);
    again = OpenServiceW(manager, L"RB_Hello", SERVICE_ALL_ACCESS);
    CHECK(again != NULL);
    device = CreateFileA("\\\\.\\My_Device", GENERIC_READ, 0, NULL, OPEN_EXISTING, 0, NULL);
    CHECK(device != INVALID_HANDLE_VALUE);
    FAILS(ControlService(again, SERVICE_CONTROL_PAUSE, &status), ERROR_INVALID_SERVICE_CONTROL);
    /* It goes when its last file is closed. */
    CHECK(ControlService(again, SERVICE_CONTROL_STOP, &status) && status.dwCurrentState == SERVICE_STOP_PENDING);
    CHECK(CloseHandle(device));
    CHECK(QueryServiceStatus(service, &status));
    CHECK(DeleteService(service) && CloseServiceHandle(service));
    FAILS(CreateServiceA(manager, "rb_hello", NULL, SERVICE_ALL_ACCESS, SERVICE_KERNEL_DRIVER, SERVICE_DEMAND_START, SERVICE_ERROR_NORMAL, path, NULL, NULL, NULL, NULL, NULL), ERROR_SERVICE_MARKED_FOR_DELETE);
    CHECK(CloseServiceHandle(again) && CloseServiceHandle(manager));
    FAILS(StartServiceCtrlDispatcherA(NULL), ERROR_FAILED_SERVICE_CONTROLLER_CONNECT);
    printf("content\n");
    return 0;
}
