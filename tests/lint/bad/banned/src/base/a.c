/* free(x) in a comment is no call, "free(x)" in a text neither. */
const char *text = "strcpy(a, b)";
void f(void) { strcpy(a, b); my_free(c); ops->free(d); tk_free(e); }
void g(void) { free(a); printf("x"); snprintf(b, c, "d"); }
void h(void) { pthread_create(0, 0, 0, 0); time(0); abort(); }
