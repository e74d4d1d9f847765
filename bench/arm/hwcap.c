/* Preloaded into the emulated program: hides what qemu's core has and the boards' chips have not.

   Arm's cryptographic instructions are an option of Cortex-A53 and Cortex-A72 that qemu takes and the chips of Raspberry
   Pi 3, Zero 2 W and 4 do not. Programs ask getauxval(AT_HWCAP). */
#define _GNU_SOURCE
#include <dlfcn.h>

#define AT_HWCAP 16
#define CRYPTOGRAPHY (0xful << 3) /* AES, PMULL, SHA1, SHA2 */

unsigned long getauxval(unsigned long kind) {
  static unsigned long (*found)(unsigned long);
  if (!found) found = (unsigned long (*)(unsigned long))dlsym(RTLD_NEXT, "getauxval");
  return kind == AT_HWCAP ? found(kind) & ~CRYPTOGRAPHY : found(kind);
}
