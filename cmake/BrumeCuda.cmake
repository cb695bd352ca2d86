# Our kernels as a shared library that needs the CUDA runtime alone. nvcc is called as a command: Debian's CMake does not
# know the nvcc of CUDA 13.
set(BRUME_CUDA AUTO CACHE STRING "Compile the CUDA kernels: AUTO (where nvcc 13 or newer is found), ON or OFF")
set_property(CACHE BRUME_CUDA PROPERTY STRINGS AUTO ON OFF)
# Ampere, Ada, Hopper and consumer Blackwell, and PTX of the newest for what comes after.
set(BRUME_CUDA_ARCHITECTURES 80 86 89 90a 120 CACHE STRING "GPU architectures that the kernels are compiled for")

set(BRUME_HAS_CUDA OFF)
if(NOT BRUME_CUDA STREQUAL OFF)
  find_program(BRUME_NVCC nvcc HINTS "${PROJECT_SOURCE_DIR}/.deps/site/nvidia/cu13/bin" /usr/local/cuda/bin)
  if(BRUME_NVCC)
    execute_process(COMMAND "${BRUME_NVCC}" --version OUTPUT_VARIABLE _version ERROR_QUIET)
    string(REGEX MATCH "release ([0-9]+\\.[0-9]+)" _ "${_version}")
    set(BRUME_NVCC_VERSION "${CMAKE_MATCH_1}")
    get_filename_component(_toolkit "${BRUME_NVCC}" REALPATH)
    get_filename_component(_toolkit "${_toolkit}" DIRECTORY)
    find_file(BRUME_CUDART libcudart.so.13
      PATHS "${PROJECT_SOURCE_DIR}/.deps/site/nvidia/cu13/lib" "${_toolkit}/../lib64" "${_toolkit}/../lib"
      NO_DEFAULT_PATH)
    find_path(BRUME_CUDA_INCLUDE cuda_runtime_api.h
      PATHS "${_toolkit}/../include" "${PROJECT_SOURCE_DIR}/.deps/site/nvidia/cu13/include" NO_DEFAULT_PATH)
    # For the attention of one wide head alone; without it that one is left out.
    find_file(BRUME_CUBLAS libcublas.so.13
      PATHS "${PROJECT_SOURCE_DIR}/.deps/site/nvidia/cu13/lib" "${_toolkit}/../lib64" "${_toolkit}/../lib"
      NO_DEFAULT_PATH)
    find_path(BRUME_CUBLAS_INCLUDE cublas_v2.h
      PATHS "${_toolkit}/../include" "${PROJECT_SOURCE_DIR}/.deps/site/nvidia/cu13/include" NO_DEFAULT_PATH)
    find_file(BRUME_CUBLASLT libcublasLt.so.13
      PATHS "${PROJECT_SOURCE_DIR}/.deps/site/nvidia/cu13/lib" "${_toolkit}/../lib64" "${_toolkit}/../lib"
      NO_DEFAULT_PATH)
    find_file(BRUME_CUDNN libcudnn.so.9
      PATHS "${PROJECT_SOURCE_DIR}/.deps/site/nvidia/cudnn/lib" "${_toolkit}/../lib64" "${_toolkit}/../lib"
      NO_DEFAULT_PATH)
    find_path(BRUME_CUDNN_INCLUDE cudnn.h
      PATHS "${_toolkit}/../include" "${PROJECT_SOURCE_DIR}/.deps/site/nvidia/cudnn/include" NO_DEFAULT_PATH)
    find_path(BRUME_CUDNN_FRONTEND_INCLUDE cudnn_frontend.h
      PATHS "${PROJECT_SOURCE_DIR}/.deps/cuda-tools/include" NO_DEFAULT_PATH)
    if(BRUME_CUDART AND BRUME_CUDA_INCLUDE AND BRUME_NVCC_VERSION VERSION_GREATER_EQUAL 13.0)
      set(BRUME_HAS_CUDA ON)
    endif()
  endif()
  if(BRUME_HAS_CUDA)
    message(STATUS "CUDA kernels: nvcc ${BRUME_NVCC_VERSION} (${BRUME_NVCC}) for ${BRUME_CUDA_ARCHITECTURES}")
  elseif(BRUME_CUDA STREQUAL AUTO)
    message(STATUS "CUDA kernels: not compiled (no nvcc 13 with its runtime found)")
  else()
    message(FATAL_ERROR "no nvcc 13 with its runtime found; install it (tools/setup --cuda), or use -DBRUME_CUDA=OFF")
  endif()
endif()

# brume_cuda_object(OBJECT SOURCE [ARCHITECTURES arch...]): compiles a .cu file of the current folder; OBJECT becomes the
# name of the variable that holds the object's path.
function(brume_cuda_object object source)
  cmake_parse_arguments(ARG "" "" "ARCHITECTURES" ${ARGN})
  if(NOT ARG_ARCHITECTURES)
    set(ARG_ARCHITECTURES ${BRUME_CUDA_ARCHITECTURES})
    list(GET BRUME_CUDA_ARCHITECTURES -1 _newest)
  endif()
  set(_targets "")
  foreach(_arch ${ARG_ARCHITECTURES})
    set(_code sm_${_arch})
    if(_arch STREQUAL "${_newest}")
      set(_code [sm_${_arch},compute_${_arch}])
    endif()
    list(APPEND _targets -gencode "arch=compute_${_arch},code=${_code}")
  endforeach()
  set(_out "${CMAKE_CURRENT_BINARY_DIR}/${source}.o")
  set(_warnings -Xcompiler=-fPIC,-Wall,-Wextra)
  if(BRUME_WERROR)
    list(APPEND _warnings --Werror=all-warnings)
  endif()
  add_custom_command(OUTPUT "${_out}"
    COMMAND ${CMAKE_CXX_COMPILER_LAUNCHER} "${BRUME_NVCC}" -std=c++20 --expt-relaxed-constexpr -O3 ${_warnings} ${_targets}
            -I "${PROJECT_SOURCE_DIR}" -isystem "${BRUME_CUDA_INCLUDE}" -MD -MT "${_out}" -MF "${_out}.d"
            -c "${CMAKE_CURRENT_SOURCE_DIR}/${source}" -o "${_out}"
    DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${source}"
    DEPFILE "${_out}.d"
    COMMENT "Compiling CUDA kernels of ${source}"
    VERBATIM)
  set(${object} "${_out}" PARENT_SCOPE)
endfunction()
