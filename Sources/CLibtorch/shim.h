// Only the flags of libtorch.pc matter here: CTorch is the sole target that includes libtorch headers.
