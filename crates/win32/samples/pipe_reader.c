/* Reads what is in the pipe of a name whenever its standard input has a line (seed 003).
 *
 *     pipe_reader HELLO */
#include <windows.h>
#include <stdio.h>

int wmain(int argc, wchar_t *argv[]) {
    char line[256];
    WCHAR path[128] = L"\\\\.\\Example\\";
    DWORD count;
    HANDLE pipe;
    if (argc < 2) {
        wprintf(L"which pipe?\n");
        return 2;
    }
    wcscat(path, argv[1]);
    pipe = CreateFileW(path, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, 0, NULL);
    if (pipe == INVALID_HANDLE_VALUE) {
        wprintf(L"%s does not open: %lu\n", path, GetLastError());
        return 1;
    }
    wprintf(L"open: %ls\n", path);
    fflush(stdout);
    while (fgets(line, sizeof(line), stdin)) {
        char data[256];
        if (!ReadFile(pipe, data, sizeof(data), &count, NULL)) {
            printf("the read fails: %lu\n", GetLastError());
            return 1;
        }
        printf("read %lu: %.*s\n", count, (int)count, data);
        fflush(stdout);
    }
    CloseHandle(pipe);
    return 0;
}
