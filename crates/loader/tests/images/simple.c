// One of everything that a loader has to handle: imports of functions, by ordinal and of data, exports, pointers
// that need relocation, initialised and zeroed data, a section for initialisation.

__declspec(dllimport) int Note(int value);
__declspec(dllimport) int ByOrdinal(int value);
__declspec(dllimport) extern int SystemVariable;

int zeroed[3000];
int initialised = 42;
int *pointer_to_initialised = &initialised;
static const char *const text = "text";
int (*pointer_to_function)(int);

__declspec(dllexport) int Add(int left, int right) { return left + right; }
__declspec(dllexport) int ReadThroughPointers(void) { return *pointer_to_initialised + text[0] + zeroed[2999]; }
__declspec(dllexport) int CallImports(int value) { return Note(value) + ByOrdinal(value) + SystemVariable; }

__attribute__((section("INIT"))) __declspec(dllexport) int OnlyAtStart(void) { return 5; }

int DriverEntry(void *driver, void *path) {
    (void)driver;
    (void)path;
    pointer_to_function = Note;
    return initialised;
}
