static void
raw__gets(void **state)
{
    (void)state; /*
raw__gone(x) */
}
