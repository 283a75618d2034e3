int ct_placeholder2(void);
