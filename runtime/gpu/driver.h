/// \file The part of the CUDA driver's ABI that a launch takes, declared here so that neither
/// headers nor libraries of CUDA are needed to build. The names with _v2 are those that the driver
/// exports for 64-bit addresses and sizes; all are in every driver from CUDA 4.0 on and documented
/// in NVIDIA's CUDA Driver API reference. Handles are pointers to what only the driver knows.
#pragma once

#include <cstddef>
#include <cstdint>

namespace semdns::gpu {

using CudaDevice = int;
using CudaAddress = unsigned long long;
using CudaHandle = void *; ///< context, module, function, stream, event

/// CUresult values that are told apart.
enum CudaResult : int {
  kCudaSuccess = 0,
  kCudaOutOfMemory = 2,
  kCudaNotReady = 600,
};
/// CUdevice_attribute and CUfunction_attribute values.
enum CudaAttribute : int {
  kCudaProcessors = 16,
  kCudaMajor = 75,
  kCudaMinor = 76,
  kCudaSharedOptIn = 97,       ///< most shared memory of a block, on request
  kCudaFunctionMaxDynamic = 8, ///< to request it
};
inline constexpr unsigned kCudaStreamNonBlocking = 1;
inline constexpr unsigned kCudaHostPortable = 1;

struct Driver {
  int (*init)(unsigned flags);
  int (*driverVersion)(int *version);
  int (*deviceCount)(int *count);
  int (*deviceGet)(CudaDevice *device, int ordinal);
  int (*deviceName)(char *name, int capacity, CudaDevice device);
  int (*deviceMemory)(size_t *bytes, CudaDevice device);
  int (*deviceAttribute)(int *value, int attribute, CudaDevice device);
  int (*contextRetain)(CudaHandle *context, CudaDevice device);
  int (*contextRelease)(CudaDevice device);
  int (*contextSet)(CudaHandle context);
  int (*contextGet)(CudaHandle *context);
  int (*moduleLoad)(CudaHandle *module, const void *image);
  int (*moduleUnload)(CudaHandle module);
  int (*moduleFunction)(CudaHandle *function, CudaHandle module, const char *name);
  int (*functionSet)(CudaHandle function, int attribute, int value);
  int (*memoryAllocate)(CudaAddress *address, size_t bytes);
  int (*memoryFree)(CudaAddress address);
  int (*hostAllocate)(void **memory, size_t bytes, unsigned flags);
  int (*hostFree)(void *memory);
  int (*copyUp)(CudaAddress to, const void *from, size_t bytes);
  int (*copyUpAsync)(CudaAddress to, const void *from, size_t bytes, CudaHandle stream);
  int (*copyDownAsync)(void *to, CudaAddress from, size_t bytes, CudaHandle stream);
  int (*streamCreate)(CudaHandle *stream, unsigned flags);
  int (*streamDestroy)(CudaHandle stream);
  int (*streamSynchronise)(CudaHandle stream);
  int (*eventCreate)(CudaHandle *event, unsigned flags);
  int (*eventDestroy)(CudaHandle event);
  int (*eventRecord)(CudaHandle event, CudaHandle stream);
  int (*eventSynchronise)(CudaHandle event);
  int (*eventElapsed)(float *milliseconds, CudaHandle from, CudaHandle to);
  int (*launch)(CudaHandle function, unsigned gridX, unsigned gridY, unsigned gridZ,
                unsigned blockX, unsigned blockY, unsigned blockZ, unsigned sharedBytes,
                CudaHandle stream, void **arguments, void **extra);
  int (*errorName)(int result, const char **name);

  /// "CUDA_ERROR_OUT_OF_MEMORY", for messages.
  const char *nameOf(int result) const;
};

/// The driver of this machine, found and initialised; null where there is none, and then `reason`
/// (a buffer of `capacity` bytes) says why. The library stays loaded for ever. Thread-safe.
const Driver *openDriver(char *reason, size_t capacity);

} // namespace semdns::gpu
