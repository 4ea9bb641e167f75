/* Files, folders and volumes, by name and by handle. For the driver `shelf`. */
#include <windows.h>
#include <string.h>
#include "check.h"

#define ROOT "\\\\.\\Shelf\\"
#define SHARE (FILE_SHARE_READ | FILE_SHARE_WRITE | FILE_SHARE_DELETE)
#define NO_FILE INVALID_HANDLE_VALUE

static HANDLE open_file(const char *name, DWORD access, DWORD disposition, DWORD flags) {
    return CreateFileA(name, access, SHARE, NULL, disposition, flags, NULL);
}

static HANDLE file(const char *name) {
    HANDLE opened = open_file(name, GENERIC_READ | GENERIC_WRITE | DELETE, OPEN_ALWAYS, 0);
    CHECK(opened != NO_FILE);
    return opened;
}

static void make(const char *name, const char *text) {
    DWORD count;
    HANDLE made = file(name);
    CHECK(WriteFile(made, text, (DWORD)strlen(text), &count, NULL) && count == strlen(text));
    CHECK(CloseHandle(made));
}

static LARGE_INTEGER large(LONGLONG value) {
    LARGE_INTEGER number;
    number.QuadPart = value;
    return number;
}

static void sizes_and_pointers(void) {
    LARGE_INTEGER at;
    DWORD high = 7;
    LONG top = 0;
    char text[4] = {0};
    DWORD count;
    HANDLE it;
    make(ROOT "pointers", "0123456789");
    it = file(ROOT "pointers");
    CHECK(GetFileSize(it, NULL) == 10);
    CHECK(GetFileSize(it, &high) == 10 && high == 0);
    CHECK(GetFileSizeEx(it, &at) && at.QuadPart == 10);
    CHECK(SetFilePointer(it, 4, NULL, FILE_BEGIN) == 4);
    CHECK(ReadFile(it, text, 2, &count, NULL) && count == 2 && memcmp(text, "45", 2) == 0);
    CHECK(SetFilePointer(it, -1, NULL, FILE_CURRENT) == 5);
    CHECK(SetFilePointer(it, -2, NULL, FILE_END) == 8);
    CHECK(SetFilePointerEx(it, large(-5), &at, FILE_CURRENT) && at.QuadPart == 3);
    CHECK(SetFilePointerEx(it, large(0), NULL, FILE_CURRENT));
    FAILS(SetFilePointerEx(it, large(-4), &at, FILE_CURRENT), ERROR_NEGATIVE_SEEK);
    FAILS(SetFilePointer(it, -11, NULL, FILE_END) != INVALID_SET_FILE_POINTER, ERROR_NEGATIVE_SEEK);
    FAILS(SetFilePointer(it, 0, NULL, 3) != INVALID_SET_FILE_POINTER, ERROR_INVALID_PARAMETER);
    CHECK(SetFilePointer(it, 0, NULL, FILE_CURRENT) == 3);
    CHECK(SetEndOfFile(it) && GetFileSize(it, NULL) == 3);
    CHECK(SetFilePointer(it, 6, NULL, FILE_BEGIN) == 6 && SetEndOfFile(it) && GetFileSize(it, NULL) == 6);
    /* With a high half the low one has no sign. */
    CHECK(SetFilePointer(it, -1, &top, FILE_BEGIN) == 0xFFFFFFFFu && top == 0 && GetLastError() == ERROR_SUCCESS);
    top = 1;
    CHECK(SetFilePointer(it, 2, &top, FILE_BEGIN) == 2 && top == 1);
    FAILS(SetEndOfFile(it), ERROR_DISK_FULL);
    CHECK(FlushFileBuffers(it));
    CHECK(CloseHandle(it));
    it = open_file(ROOT "pointers", GENERIC_READ, OPEN_EXISTING, 0);
    FAILS(SetEndOfFile(it), ERROR_ACCESS_DENIED);
    FAILS(FlushFileBuffers(it), ERROR_ACCESS_DENIED);
    FAILS(GetFileSizeEx(it, NULL), ERROR_INVALID_PARAMETER);
    FAILS(GetFileSize(NULL, NULL) != INVALID_FILE_SIZE, ERROR_INVALID_HANDLE);
    FAILS(SetFilePointerEx(NULL, large(0), NULL, FILE_BEGIN), ERROR_INVALID_HANDLE);
    CHECK(CloseHandle(it) && DeleteFileA(ROOT "pointers"));
}

static void names(void) {
    WIN32_FIND_DATAA found;
    WIN32_FIND_DATAW wide;
    WIN32_FILE_ATTRIBUTE_DATA data;
    HANDLE search;
    int count = 1;
    CHECK(CreateDirectoryA(ROOT "names", NULL));
    FAILS(CreateDirectoryA(ROOT "names", NULL), ERROR_ALREADY_EXISTS);
    make(ROOT "names\\a.txt", "one");
    make(ROOT "names\\b.txt", "three");
    make(ROOT "names\\c.bin", "");
    CHECK(CreateDirectoryW(L"" ROOT "names\\inner", NULL));
    search = FindFirstFileA(ROOT "names\\*.txt", &found);
    CHECK(search != NO_FILE && strcmp(found.cFileName, "a.txt") == 0 && found.nFileSizeLow == 3 && found.cAlternateFileName[0] == 0);
    CHECK(FindNextFileA(search, &found) && strcmp(found.cFileName, "b.txt") == 0 && found.nFileSizeLow == 5);
    FAILS(FindNextFileA(search, &found), ERROR_NO_MORE_FILES);
    FAILS(FindNextFileA(search, NULL), ERROR_INVALID_PARAMETER);
    FAILS(CloseHandle(search), ERROR_INVALID_HANDLE);
    CHECK(FindClose(search));
    FAILS(FindClose(search), ERROR_INVALID_HANDLE);
    FAILS(FindNextFileA(search, &found), ERROR_INVALID_HANDLE);
    FAILS(FindFirstFileA(ROOT "names\\*.none", &found) != NO_FILE, ERROR_FILE_NOT_FOUND);
    FAILS(FindFirstFileA(ROOT "nowhere\\*", &found) != NO_FILE, ERROR_PATH_NOT_FOUND);
    FAILS(FindFirstFileA(ROOT "names\\*", NULL) != NO_FILE, ERROR_INVALID_PARAMETER);
    search = FindFirstFileW(L"" ROOT "names\\*", &wide);
    CHECK(search != NO_FILE);
    while (FindNextFileW(search, &wide))
        count++;
    CHECK(GetLastError() == ERROR_NO_MORE_FILES && count == 4);
    CHECK(wide.dwFileAttributes == FILE_ATTRIBUTE_DIRECTORY && wide.cFileName[0] == L'i' && FindClose(search));
    CHECK(GetFileAttributesA(ROOT "names") == FILE_ATTRIBUTE_DIRECTORY);
    CHECK(GetFileAttributesW(L"" ROOT "names\\a.txt") == FILE_ATTRIBUTE_ARCHIVE);
    FAILS(GetFileAttributesA(ROOT "names\\none") != INVALID_FILE_ATTRIBUTES, ERROR_FILE_NOT_FOUND);
    FAILS(GetFileAttributesA(NULL) != INVALID_FILE_ATTRIBUTES, ERROR_PATH_NOT_FOUND);
    CHECK(GetFileAttributesExA(ROOT "names\\b.txt", GetFileExInfoStandard, &data));
    CHECK(data.nFileSizeLow == 5 && data.ftLastWriteTime.dwHighDateTime != 0);
    FAILS(GetFileAttributesExA(ROOT "names\\b.txt", GetFileExMaxInfoLevel, &data), ERROR_INVALID_PARAMETER);
    FAILS(GetFileAttributesExA(ROOT "names\\b.txt", GetFileExInfoStandard, NULL), ERROR_INVALID_PARAMETER);
}

static void moves(void) {
    HANDLE held;
    CHECK(MoveFileA(ROOT "names\\c.bin", ROOT "names\\d.bin"));
    FAILS(MoveFileA(ROOT "names\\c.bin", ROOT "names\\e.bin"), ERROR_FILE_NOT_FOUND);
    FAILS(MoveFileExA(ROOT "names\\a.txt", ROOT "names\\b.txt", 0), ERROR_ALREADY_EXISTS);
    held = file(ROOT "names\\b.txt");
    FAILS(MoveFileExA(ROOT "names\\a.txt", ROOT "names\\b.txt", MOVEFILE_REPLACE_EXISTING), ERROR_ACCESS_DENIED);
    CHECK(CloseHandle(held));
    CHECK(MoveFileExW(L"" ROOT "names\\a.txt", L"" ROOT "names\\b.txt", MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH));
    CHECK(GetFileAttributesA(ROOT "names\\a.txt") == INVALID_FILE_ATTRIBUTES);
    CHECK(MoveFileW(L"" ROOT "names\\b.txt", L"" ROOT "names\\inner\\b.txt"));
    FAILS(MoveFileExA(ROOT "names\\d.bin", ROOT "x", MOVEFILE_DELAY_UNTIL_REBOOT), ERROR_INVALID_PARAMETER);
    FAILS(MoveFileA(ROOT "names\\d.bin", NULL), ERROR_PATH_NOT_FOUND);
    FAILS(RemoveDirectoryA(ROOT "names\\inner"), ERROR_DIR_NOT_EMPTY);
    FAILS(DeleteFileA(ROOT "names\\inner"), ERROR_ACCESS_DENIED);
    FAILS(RemoveDirectoryA(ROOT "names\\d.bin"), ERROR_DIRECTORY);
    CHECK(DeleteFileW(L"" ROOT "names\\inner\\b.txt"));
    CHECK(DeleteFileA(ROOT "names\\d.bin"));
    CHECK(RemoveDirectoryW(L"" ROOT "names\\inner") && RemoveDirectoryA(ROOT "names"));
}

/* A FILE_RENAME_INFO with this name. */
static BOOL rename_to(HANDLE it, const WCHAR *name, DWORD bytes) {
    union {
        FILE_RENAME_INFO information;
        char room[256];
    } new_name;
    memset(&new_name, 0, sizeof new_name);
    new_name.information.FileNameLength = bytes;
    memcpy(new_name.information.FileName, name, bytes < 200 ? bytes : 200);
    return SetFileInformationByHandle(it, FileRenameInfo, &new_name, sizeof new_name);
}

static void information(void) {
    BY_HANDLE_FILE_INFORMATION told;
    FILE_BASIC_INFO basic;
    FILE_STANDARD_INFO standard;
    FILE_END_OF_FILE_INFO end;
    FILE_DISPOSITION_INFO disposition = {TRUE};
    union {
        FILE_NAME_INFO information;
        char room[64];
    } name;
    static const WCHAR full[] = L"" ROOT "renamed";
    HANDLE it;
    make(ROOT "informed", "12345");
    it = file(ROOT "informed");
    CHECK(GetFileInformationByHandle(it, &told));
    CHECK(told.nFileSizeLow == 5 && told.nFileSizeHigh == 0 && told.nNumberOfLinks == 1 && told.dwFileAttributes == FILE_ATTRIBUTE_ARCHIVE);
    CHECK(told.dwVolumeSerialNumber == 0x5E1F0001 && told.nFileIndexLow != 0 && told.ftCreationTime.dwHighDateTime != 0);
    CHECK(GetFileInformationByHandleEx(it, FileBasicInfo, &basic, sizeof basic) && basic.FileAttributes == FILE_ATTRIBUTE_ARCHIVE);
    basic.FileAttributes = FILE_ATTRIBUTE_HIDDEN;
    CHECK(SetFileInformationByHandle(it, FileBasicInfo, &basic, sizeof basic));
    CHECK(GetFileAttributesA(ROOT "informed") == FILE_ATTRIBUTE_HIDDEN);
    end.EndOfFile = large(2);
    CHECK(SetFileInformationByHandle(it, FileEndOfFileInfo, &end, sizeof end));
    CHECK(GetFileInformationByHandleEx(it, FileStandardInfo, &standard, sizeof standard));
    CHECK(standard.EndOfFile.QuadPart == 2 && standard.NumberOfLinks == 1 && !standard.Directory && !standard.DeletePending);
    CHECK(rename_to(it, L"renamed", 14));
    FAILS(rename_to(it, full, sizeof full - 1), ERROR_INVALID_PARAMETER);
    CHECK(rename_to(it, full, sizeof full - sizeof(WCHAR)));
    FAILS(rename_to(it, L"x", 0), ERROR_INVALID_PARAMETER);
    FAILS(rename_to(it, L"x", 0x7FFFFFFE), ERROR_INVALID_PARAMETER);
    CHECK(GetFileInformationByHandleEx(it, FileNameInfo, &name, sizeof name));
    CHECK(name.information.FileNameLength == 16 && memcmp(name.information.FileName, L"\\renamed", 16) == 0);
    FAILS(GetFileInformationByHandleEx(it, FileNameInfo, &name, 12), ERROR_MORE_DATA);
    FAILS(GetFileInformationByHandleEx(it, FileBasicInfo, &basic, 8), ERROR_BAD_LENGTH);
    FAILS(GetFileInformationByHandleEx(it, FileBasicInfo, NULL, sizeof basic), ERROR_NOACCESS);
    FAILS(GetFileInformationByHandleEx(it, (FILE_INFO_BY_HANDLE_CLASS)99, &basic, sizeof basic), ERROR_INVALID_PARAMETER);
    FAILS(SetFileInformationByHandle(it, FileRenameInfo, &name, 8), ERROR_BAD_LENGTH);
    FAILS(GetFileInformationByHandle(it, NULL), ERROR_INVALID_PARAMETER);
    FAILS(GetFileInformationByHandle(NULL, &told), ERROR_INVALID_HANDLE);
    CHECK(SetFileInformationByHandle(it, FileDispositionInfo, &disposition, sizeof disposition));
    CHECK(CloseHandle(it));
    FAILS(DeleteFileA(ROOT "renamed"), ERROR_FILE_NOT_FOUND);
}

static void volumes(void) {
    char system[16], label[4];
    WCHAR wide[16];
    DWORD serial = 0, longest = 0, flags;
    ULARGE_INTEGER available, total, unused;
    HANDLE it = file(ROOT "volumes");
    CHECK(GetVolumeInformationA(ROOT, label, sizeof label, &serial, &longest, &flags, system, sizeof system));
    CHECK(strcmp(system, "SHELF") == 0 && label[0] == 0 && serial == 0x5E1F0001 && longest == 64);
    CHECK(GetVolumeInformationW(L"" ROOT, NULL, 0, NULL, NULL, NULL, wide, 16) && memcmp(wide, L"SHELF", 12) == 0);
    CHECK(GetVolumeInformationByHandleW(it, NULL, 0, &serial, NULL, NULL, NULL, 0));
    FAILS(GetVolumeInformationA("\\\\.\\Shelf", NULL, 0, NULL, NULL, NULL, NULL, 0), ERROR_INVALID_NAME);
    FAILS(GetVolumeInformationA(ROOT, NULL, 0, NULL, NULL, NULL, system, 5), ERROR_BAD_LENGTH);
    FAILS(GetVolumeInformationByHandleW(NULL, NULL, 0, NULL, NULL, NULL, NULL, 0), ERROR_INVALID_HANDLE);
    CHECK(GetDiskFreeSpaceExA(ROOT, &available, &total, &unused));
    CHECK(total.QuadPart == 1 << 20 && available.QuadPart == unused.QuadPart && unused.QuadPart <= total.QuadPart);
    CHECK(GetDiskFreeSpaceExW(L"" ROOT, NULL, NULL, NULL));
    FAILS(GetDiskFreeSpaceExA(ROOT "nowhere", NULL, NULL, NULL), ERROR_FILE_NOT_FOUND);
    CHECK(CloseHandle(it) && DeleteFileA(ROOT "volumes"));
}

static void locks(void) {
    OVERLAPPED place, other;
    DWORD count = 0;
    HANDLE first = file(ROOT "locks"), second = open_file(ROOT "locks", GENERIC_READ | GENERIC_WRITE, OPEN_EXISTING, FILE_FLAG_OVERLAPPED);
    memset(&place, 0, sizeof place);
    memset(&other, 0, sizeof other);
    CHECK(second != NO_FILE && WriteFile(first, "0123456789", 10, &count, NULL));
    CHECK(LockFile(first, 2, 0, 3, 0));
    FAILS(LockFile(second, 4, 0, 1, 0), ERROR_LOCK_VIOLATION);
    CHECK(LockFile(second, 5, 0, 1, 0) && UnlockFile(second, 5, 0, 1, 0));
    FAILS(UnlockFile(first, 2, 0, 2, 0), ERROR_NOT_LOCKED);
    place.Offset = 2;
    FAILS(LockFileEx(second, LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &place), ERROR_LOCK_VIOLATION);
    other.hEvent = CreateEventA(NULL, TRUE, FALSE, NULL);
    other.Offset = 2;
    FAILS(LockFileEx(second, LOCKFILE_EXCLUSIVE_LOCK, 0, 3, 0, &other), ERROR_IO_PENDING);
    FAILS(GetOverlappedResult(second, &other, &count, FALSE), ERROR_IO_INCOMPLETE);
    CHECK(UnlockFileEx(first, 0, 3, 0, &place));
    CHECK(WaitForSingleObject(other.hEvent, INFINITE) == WAIT_OBJECT_0 && GetOverlappedResult(second, &other, &count, TRUE));
    FAILS(LockFile(first, 2, 0, 1, 0), ERROR_LOCK_VIOLATION);
    CHECK(UnlockFileEx(second, 0, 3, 0, &other));
    FAILS(LockFileEx(first, 0, 1, 1, 0, &place), ERROR_INVALID_PARAMETER);
    FAILS(LockFileEx(first, 0, 0, 1, 0, NULL), ERROR_INVALID_PARAMETER);
    FAILS(LockFileEx(first, 4, 0, 1, 0, &place), ERROR_INVALID_PARAMETER);
    FAILS(UnlockFileEx(first, 0, 1, 0, NULL), ERROR_INVALID_PARAMETER);
    FAILS(LockFile(NULL, 0, 0, 1, 0), ERROR_INVALID_HANDLE);
    CHECK(CloseHandle(first) && CloseHandle(second) && CloseHandle(other.hEvent) && DeleteFileA(ROOT "locks"));
}

static int routines;

static void WINAPI on_change(DWORD code, DWORD bytes, LPOVERLAPPED overlapped) {
    routines += code == 0 && bytes == 12 + 8 && overlapped->hEvent == NULL;
}

static void changes(void) {
    union {
        FILE_NOTIFY_INFORMATION information;
        char room[256];
    } told;
    OVERLAPPED overlapped;
    DWORD count = 0;
    const DWORD named = FILE_NOTIFY_CHANGE_FILE_NAME;
    HANDLE folder;
    CHECK(CreateDirectoryA(ROOT "watched", NULL));
    folder = open_file(ROOT "watched", FILE_LIST_DIRECTORY, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS | FILE_FLAG_OVERLAPPED);
    CHECK(folder != NO_FILE);
    memset(&overlapped, 0, sizeof overlapped);
    overlapped.hEvent = CreateEventA(NULL, TRUE, FALSE, NULL);
    CHECK(ReadDirectoryChangesW(folder, &told, sizeof told, FALSE, named, NULL, &overlapped, NULL));
    FAILS(GetOverlappedResult(folder, &overlapped, &count, FALSE), ERROR_IO_INCOMPLETE);
    make(ROOT "watched\\new", "");
    CHECK(WaitForSingleObject(overlapped.hEvent, INFINITE) == WAIT_OBJECT_0 && GetOverlappedResult(folder, &overlapped, &count, TRUE));
    CHECK(count >= 18 && told.information.NextEntryOffset == 0 && told.information.Action == FILE_ACTION_ADDED);
    CHECK(told.information.FileNameLength == 6 && memcmp(told.information.FileName, L"new", 6) == 0);
    /* By a routine. */
    CHECK(CloseHandle(overlapped.hEvent));
    memset(&overlapped, 0, sizeof overlapped);
    CHECK(ReadDirectoryChangesW(folder, &told, sizeof told, FALSE, named, NULL, &overlapped, on_change));
    make(ROOT "watched\\next", "");
    while (routines == 0)
        CHECK(SleepEx(INFINITE, TRUE) == WAIT_IO_COMPLETION);
    /* One that is cancelled. */
    CHECK(ReadDirectoryChangesW(folder, &told, sizeof told, FALSE, named, NULL, &overlapped, NULL));
    CHECK(CancelIoEx(folder, &overlapped));
    FAILS(GetOverlappedResult(folder, &overlapped, &count, TRUE), ERROR_OPERATION_ABORTED);
    FAILS(ReadDirectoryChangesW(folder, &told, sizeof told, FALSE, 0, NULL, &overlapped, NULL), ERROR_INVALID_PARAMETER);
    FAILS(ReadDirectoryChangesW(folder, &told, sizeof told, FALSE, named, NULL, NULL, NULL), ERROR_INVALID_PARAMETER);
    FAILS(ReadDirectoryChangesW(NULL, &told, sizeof told, FALSE, named, &count, NULL, NULL), ERROR_INVALID_HANDLE);
    CHECK(CloseHandle(folder));
    CHECK(DeleteFileA(ROOT "watched\\new") && DeleteFileA(ROOT "watched\\next") && RemoveDirectoryA(ROOT "watched"));
}

int main(void) {
    sizes_and_pointers();
    names();
    moves();
    information();
    volumes();
    locks();
    changes();
    puts("content");
    return 0;
}
