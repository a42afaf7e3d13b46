void f(void) { free(a); printf("b"); sprintf(c, "d"); }
