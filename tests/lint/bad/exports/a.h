/* TIKV_API int tikv_in_a_comment(void); */
#define OTHER TIKV_API int tikv_in_a_macro(void);
TIKV_API TIKV_MUST_USE tikv_error *
tikv_present(int (*callback)(void *));
TIKV_API void tikv_missing(void);
