static void
long_one(void)
{
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
}

void
fits(void)
{
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
    x();
}
	int tab;
int space; 
int a; // b
int url = "http://x";
/* http://x */
/* TODO */
xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx




























































































































































































































































































































































































































































































































































































