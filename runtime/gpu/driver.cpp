#include "runtime/gpu/driver.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>

namespace semdns::gpu {
namespace {

Driver driver;
bool usable;
char whyNot[120];
pthread_once_t once = PTHREAD_ONCE_INIT;

const struct {
  const char *name;
  size_t offset;
} kFunctions[] = {
    {"cuInit", offsetof(Driver, init)},
    {"cuDriverGetVersion", offsetof(Driver, driverVersion)},
    {"cuDeviceGetCount", offsetof(Driver, deviceCount)},
    {"cuDeviceGet", offsetof(Driver, deviceGet)},
    {"cuDeviceGetName", offsetof(Driver, deviceName)},
    {"cuDeviceTotalMem_v2", offsetof(Driver, deviceMemory)},
    {"cuDeviceGetAttribute", offsetof(Driver, deviceAttribute)},
    {"cuDevicePrimaryCtxRetain", offsetof(Driver, contextRetain)},
    {"cuDevicePrimaryCtxRelease_v2", offsetof(Driver, contextRelease)},
    {"cuCtxSetCurrent", offsetof(Driver, contextSet)},
    {"cuCtxGetCurrent", offsetof(Driver, contextGet)},
    {"cuModuleLoadData", offsetof(Driver, moduleLoad)},
    {"cuModuleUnload", offsetof(Driver, moduleUnload)},
    {"cuModuleGetFunction", offsetof(Driver, moduleFunction)},
    {"cuFuncSetAttribute", offsetof(Driver, functionSet)},
    {"cuMemAlloc_v2", offsetof(Driver, memoryAllocate)},
    {"cuMemFree_v2", offsetof(Driver, memoryFree)},
    {"cuMemHostAlloc", offsetof(Driver, hostAllocate)},
    {"cuMemFreeHost", offsetof(Driver, hostFree)},
    {"cuMemcpyHtoD_v2", offsetof(Driver, copyUp)},
    {"cuMemcpyHtoDAsync_v2", offsetof(Driver, copyUpAsync)},
    {"cuMemcpyDtoHAsync_v2", offsetof(Driver, copyDownAsync)},
    {"cuStreamCreate", offsetof(Driver, streamCreate)},
    {"cuStreamDestroy_v2", offsetof(Driver, streamDestroy)},
    {"cuStreamSynchronize", offsetof(Driver, streamSynchronise)},
    {"cuEventCreate", offsetof(Driver, eventCreate)},
    {"cuEventDestroy_v2", offsetof(Driver, eventDestroy)},
    {"cuEventRecord", offsetof(Driver, eventRecord)},
    {"cuEventSynchronize", offsetof(Driver, eventSynchronise)},
    {"cuEventElapsedTime", offsetof(Driver, eventElapsed)},
    {"cuLaunchKernel", offsetof(Driver, launch)},
    {"cuGetErrorName", offsetof(Driver, errorName)},
};

void open() {
  void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    snprintf(whyNot, sizeof whyNot, "no NVIDIA driver: libcuda.so.1 cannot be loaded");
    return;
  }
  for (const auto &function : kFunctions) {
    void *address = dlsym(library, function.name);
    if (!address) {
      snprintf(whyNot, sizeof whyNot, "the NVIDIA driver has no %s: it is too old", function.name);
      return;
    }
    *reinterpret_cast<void **>(reinterpret_cast<char *>(&driver) + function.offset) = address;
  }
  // PTX 8.0 is what artifacts hold.
  constexpr int kOldest = 12000;
  int version = 0;
  if (driver.driverVersion(&version) != kCudaSuccess || version < kOldest) {
    snprintf(whyNot, sizeof whyNot, "the NVIDIA driver is for CUDA %d.%d; 12.0 or later is needed",
             version / 1000, version % 1000 / 10);
    return;
  }
  if (const int result = driver.init(0)) {
    snprintf(whyNot, sizeof whyNot, "the NVIDIA driver does not start: %s", driver.nameOf(result));
    return;
  }
  usable = true;
}

} // namespace

const char *Driver::nameOf(int result) const {
  const char *name = nullptr;
  return errorName(result, &name) == kCudaSuccess && name ? name : "unknown CUDA error";
}

const Driver *openDriver(char *reason, size_t capacity) {
  pthread_once(&once, open);
  if (!usable)
    snprintf(reason, capacity, "%s", whyNot);
  return usable ? &driver : nullptr;
}

} // namespace semdns::gpu
