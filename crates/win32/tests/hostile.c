/* What no application should do, and what it learns then. For the driver `hello`. */
#include <windows.h>
#include <winioctl.h>
#include <winternl.h>
#include <string.h>
#include "check.h"

#define IOCTL_ECHO CTL_CODE(FILE_DEVICE_UNKNOWN, 0x800, METHOD_BUFFERED, FILE_ANY_ACCESS)

static HANDLE open_hello(DWORD access) {
    HANDLE device = CreateFileA("\\\\.\\My_Device", access, 0, NULL, OPEN_EXISTING, 0, NULL);
    CHECK(device != INVALID_HANDLE_VALUE);
    return device;
}

static void names_that_are_none(void) {
    FAILS(CreateFileA("\\\\.\\Nobody", GENERIC_READ, 0, NULL, OPEN_EXISTING, 0, NULL) != INVALID_HANDLE_VALUE, ERROR_FILE_NOT_FOUND);
    FAILS(CreateFileW(L"\\\\.\\Nobody", GENERIC_READ, 0, NULL, OPEN_EXISTING, 0, NULL) != INVALID_HANDLE_VALUE, ERROR_FILE_NOT_FOUND);
    FAILS(CreateFileA("", GENERIC_READ, 0, NULL, OPEN_EXISTING, 0, NULL) != INVALID_HANDLE_VALUE, ERROR_PATH_NOT_FOUND);
    FAILS(CreateFileA(NULL, GENERIC_READ, 0, NULL, OPEN_EXISTING, 0, NULL) != INVALID_HANDLE_VALUE, ERROR_PATH_NOT_FOUND);
    FAILS(CreateFileA("\\\\.\\My_Device", GENERIC_READ, 0, NULL, 77, 0, NULL) != INVALID_HANDLE_VALUE, ERROR_INVALID_PARAMETER);
    FAILS(OpenEventA(SYNCHRONIZE, FALSE, "Nobody"), ERROR_FILE_NOT_FOUND);
    FAILS(OpenEventA(SYNCHRONIZE, FALSE, NULL), ERROR_INVALID_PARAMETER);
    FAILS(OpenFileMappingA(FILE_MAP_READ, FALSE, "Nobody"), ERROR_FILE_NOT_FOUND);
}

static void handles_that_are_none(void) {
    HANDLE none[] = {NULL, (HANDLE)(ULONG_PTR)0x7777770, (HANDLE)(ULONG_PTR)0x123456789abc};
    char buffer[8];
    DWORD count;
    size_t index;
    OVERLAPPED overlapped = {0};
    for (index = 0; index < sizeof(none) / sizeof(none[0]); index++) {
        FAILS(CloseHandle(none[index]), ERROR_INVALID_HANDLE);
        FAILS(ReadFile(none[index], buffer, 8, &count, NULL), ERROR_INVALID_HANDLE);
        FAILS(ReadFile(none[index], buffer, 8, &count, &overlapped), ERROR_INVALID_HANDLE);
        FAILS(DeviceIoControl(none[index], IOCTL_ECHO, buffer, 8, buffer, 8, &count, NULL), ERROR_INVALID_HANDLE);
        FAILS(SetEvent(none[index]), ERROR_INVALID_HANDLE);
        FAILS(WaitForSingleObject(none[index], 0) != WAIT_FAILED, ERROR_INVALID_HANDLE);
        FAILS(CancelIo(none[index]), ERROR_INVALID_HANDLE);
        FAILS(GetExitCodeThread(none[index], &count), ERROR_INVALID_HANDLE);
    }
}

static void pointers_that_are_none(void) {
    char buffer[8];
    DWORD count = 77;
    HANDLE device = open_hello(GENERIC_READ | GENERIC_WRITE);
    OVERLAPPED overlapped = {0};
    /* Windows would crash here. */
    FAILS(ReadFile(device, buffer, 8, NULL, NULL), ERROR_INVALID_PARAMETER);
    FAILS(DeviceIoControl(device, IOCTL_ECHO, buffer, 8, buffer, 8, NULL, NULL), ERROR_INVALID_PARAMETER);
    FAILS(ReadFile(device, NULL, 8, &count, NULL), ERROR_NOACCESS);
    CHECK(count == 0);
    FAILS(WriteFile(device, (void *)(ULONG_PTR)0x10, 8, &count, NULL), ERROR_NOACCESS);
    FAILS(ReadFile(device, (void *)(ULONG_PTR)0xffff800000000000ull, 8, &count, NULL), ERROR_NOACCESS);
    FAILS(ReadFile(device, NULL, 8, &count, &overlapped), ERROR_NOACCESS);
    FAILS(ReadFile(device, buffer, 8, &count, (OVERLAPPED *)(ULONG_PTR)0x10), ERROR_NOACCESS);
    FAILS(GetOverlappedResult(device, NULL, &count, TRUE), ERROR_INVALID_PARAMETER);
    FAILS(DuplicateHandle(GetCurrentProcess(), device, GetCurrentProcess(), NULL, 0, FALSE, DUPLICATE_SAME_ACCESS), ERROR_INVALID_PARAMETER);
    FAILS(CreateThread(NULL, 0, NULL, NULL, 0, NULL), ERROR_INVALID_PARAMETER);
    FAILS(WaitForMultipleObjects(0, &device, FALSE, 0) != WAIT_FAILED, ERROR_INVALID_PARAMETER);
    FAILS(WaitForMultipleObjects(65, &device, FALSE, 0) != WAIT_FAILED, ERROR_INVALID_PARAMETER);
    FAILS(UnmapViewOfFile(buffer), ERROR_INVALID_ADDRESS);
    FAILS(VirtualFree(buffer, 0, MEM_RELEASE), ERROR_INVALID_ADDRESS);
    CHECK(ReadFile(device, NULL, 0, &count, NULL) && count == 0);
    CHECK(CloseHandle(device));
    FAILS(CloseHandle(device), ERROR_INVALID_HANDLE);
}

static void access_that_was_not_asked_for(void) {
    char buffer[8] = "1234567";
    DWORD count;
    OVERLAPPED overlapped;
    HANDLE device = open_hello(GENERIC_READ);
    FAILS(WriteFile(device, buffer, 8, &count, NULL), ERROR_ACCESS_DENIED);
    /* An OVERLAPPED does not make a file's requests go on that is not open for that. */
    memset(&overlapped, 0, sizeof(overlapped));
    CHECK(ReadFile(device, buffer, 8, &count, &overlapped) && count == 8);
    CHECK(overlapped.Internal == 0 && overlapped.InternalHigh == 8 && buffer[7] == 'h');
    CHECK(CloseHandle(device));
    device = CreateFileA("\\\\.\\My_Device", GENERIC_READ, 0, NULL, OPEN_EXISTING, FILE_FLAG_OVERLAPPED, NULL);
    CHECK(device != INVALID_HANDLE_VALUE);
    FAILS(ReadFile(device, buffer, 8, &count, NULL), ERROR_INVALID_PARAMETER);
    CHECK(CloseHandle(device));
}

static void names_that_two_have(void) {
    HANDLE first = CreateEventA(NULL, TRUE, FALSE, "Local\\Rb C"), second, device;
    CHECK(first != NULL && GetLastError() == 0);
    second = CreateEventW(NULL, FALSE, TRUE, L"Rb C");
    CHECK(second != NULL && GetLastError() == ERROR_ALREADY_EXISTS);
    CHECK(WaitForSingleObject(second, 0) == WAIT_TIMEOUT);
    CHECK(SetEvent(first) && WaitForSingleObject(second, 0) == WAIT_OBJECT_0);
    FAILS(CreateFileMappingA(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, 4096, "Rb C"), ERROR_INVALID_HANDLE);
    CHECK(CloseHandle(second));
    device = open_hello(GENERIC_READ);
    FAILS(SetEvent(device), ERROR_INVALID_HANDLE);
    CHECK(CloseHandle(device) && CloseHandle(first));
}

static void views_are_memory_that_two_have(void) {
    HANDLE mapping = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, 10000, L"Rb Shown"), again;
    char *view, *other;
    CHECK(mapping != NULL);
    view = (char *)MapViewOfFile(mapping, FILE_MAP_ALL_ACCESS, 0, 0, 0);
    CHECK(view != NULL && view[9999] == 0);
    again = OpenFileMappingA(FILE_MAP_READ, FALSE, "Global\\Rb Shown");
    CHECK(again != NULL);
    FAILS(MapViewOfFile(again, FILE_MAP_WRITE, 0, 0, 0), ERROR_ACCESS_DENIED);
    other = (char *)MapViewOfFile(again, FILE_MAP_READ, 0, 0, 4096);
    CHECK(other != NULL && other != view);
    strcpy(view, "seen by both");
    CHECK(strcmp(other, "seen by both") == 0);
    CHECK(CloseHandle(mapping) && CloseHandle(again));
    CHECK(strcmp(other, "seen by both") == 0);
    CHECK(UnmapViewOfFile(view) && UnmapViewOfFile(other));
}

static void messages_and_devices_have_names(void) {
    char text[256], *made = NULL;
    WCHAR wide[256];
    DWORD length = FormatMessageA(FORMAT_MESSAGE_FROM_SYSTEM | FORMAT_MESSAGE_IGNORE_INSERTS, NULL, ERROR_ACCESS_DENIED, 0, text, sizeof(text), NULL);
    CHECK(length > 0 && strlen(text) == length);
    CHECK(FormatMessageA(FORMAT_MESSAGE_ALLOCATE_BUFFER | FORMAT_MESSAGE_FROM_SYSTEM, NULL, ERROR_ACCESS_DENIED, 0, (LPSTR)&made, 0, NULL) == length);
    CHECK(strcmp(made, text) == 0 && LocalFree(made) == NULL);
    FAILS(FormatMessageA(FORMAT_MESSAGE_FROM_SYSTEM, NULL, ERROR_ACCESS_DENIED, 0, text, 3, NULL), ERROR_INSUFFICIENT_BUFFER);
    FAILS(FormatMessageA(FORMAT_MESSAGE_FROM_SYSTEM, NULL, 0xABCDEF, 0, text, sizeof(text), NULL), ERROR_MR_MID_NOT_FOUND);
    CHECK(QueryDosDeviceW(L"my_device", wide, 256) == 19 && wcscmp(wide, L"\\Device\\My_Device") == 0);
    FAILS(QueryDosDeviceA("Nobody", text, sizeof(text)), ERROR_FILE_NOT_FOUND);
    FAILS(QueryDosDeviceA("My_Device", text, 4), ERROR_INSUFFICIENT_BUFFER);
}

int main(void) {
    names_that_are_none();
    handles_that_are_none();
    pointers_that_are_none();
    access_that_was_not_asked_for();
    names_that_two_have();
    views_are_memory_that_two_have();
    messages_and_devices_have_names();
    printf("content\n");
    return 0;
}
