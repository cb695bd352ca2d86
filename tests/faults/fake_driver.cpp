// A GPU's driver that has GPUs 0 and 1, and remembers what it was asked for.
extern "C" {

int fake_driver_contexts[2] = {0, 0};
int fake_driver_starts = 0;

int cuInit(unsigned /*flags*/) {
  ++fake_driver_starts;
  return 0;
}

int cuDeviceGet(int* device, int index) {
  if (index < 0 || index > 1) return 101;
  *device = index;
  return 0;
}

int cuDevicePrimaryCtxRetain(void** context, int device) {
  *context = &fake_driver_contexts[device];
  ++fake_driver_contexts[device];
  return 0;
}

int cuDevicePrimaryCtxRelease_v2(int device) {
  --fake_driver_contexts[device];
  return 0;
}

}  // extern "C"
