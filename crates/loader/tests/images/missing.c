// Imports that the test's resolver does not have, or has as stubs only.
__declspec(dllimport) int Missing(void);
__declspec(dllimport) int Stubbed(void);
__declspec(dllimport) int Note(int value);

int DriverEntry(void) { return Missing() + Stubbed() + Note(1); }
