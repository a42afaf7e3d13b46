int twice(void);
struct twice { int a; };
