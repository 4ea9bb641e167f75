/* Writes its standard input, line by line, to the pipe of a name (seed 003). A writer and a reader of one name meet in the driver.
 *
 *     pipe_writer HELLO */
#include <windows.h>
#include <tchar.h>
#include <stdio.h>
#include <string.h>

int _tmain(int argc, _TCHAR *argv[]) {
    char line[256], path[128];
    DWORD count;
    HANDLE pipe;
    if (argc < 2) {
        printf("which pipe?\n");
        return 2;
    }
    sprintf(path, "\\\\.\\Example\\%s", argv[1]);
    pipe = CreateFileA(path, GENERIC_READ | GENERIC_WRITE, FILE_SHARE_READ | FILE_SHARE_WRITE, NULL, OPEN_EXISTING, 0, NULL);
    if (pipe == INVALID_HANDLE_VALUE) {
        printf("the pipe does not open: %lu\n", GetLastError());
        return 1;
    }
    while (fgets(line, sizeof(line), stdin)) {
        if (!WriteFile(pipe, line, (DWORD)strlen(line), &count, NULL)) {
            printf("the write fails: %lu\n", GetLastError());
            return 1;
        }
        printf("wrote %lu\n", count);
        fflush(stdout);
    }
    CloseHandle(pipe);
    return 0;
}
