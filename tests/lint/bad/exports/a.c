int tikv_present(void);
int tikv_present(void) { return 0; }
int secret(void);
int secret(void) { return 1; }
