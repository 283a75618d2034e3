int ct_placeholder;
