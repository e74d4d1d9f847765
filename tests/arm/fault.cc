// Faults on purpose, to see that the tests find them: what runs at the entry of every function that is compiled with
// -finstrument-functions. One of FAULT_NONE, FAULT_SDOT, FAULT_ROUNDING is defined.
extern "C" __attribute__((visibility("hidden"))) void __cyg_profile_func_enter(void*, void*) {
#if defined(FAULT_SDOT)
  // An instruction that Cortex-A53 and A72 lack, as if a file had been compiled for a newer core.
  asm volatile(".arch_extension dotprod\n\tsdot v0.4s, v1.16b, v2.16b" ::: "v0");
#elif defined(FAULT_ROUNDING)
  // Towards zero (FPCR bits 23:22), so that a sum's requantisation is off by one now and then.
  unsigned long control;
  asm volatile("mrs %0, fpcr" : "=r"(control));
  asm volatile("msr fpcr, %0" ::"r"(control | 3ul << 22));
#endif
}

extern "C" __attribute__((visibility("hidden"))) void __cyg_profile_func_exit(void*, void*) {}
