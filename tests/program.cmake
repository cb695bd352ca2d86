# The tests of the program from outside.

# Preloaded, it makes a chosen system call of a program fail. It has no sanitizer, so that it can come first.
add_library(failing_calls MODULE faults/failing_calls.cpp)
add_library(few_threads MODULE faults/few_threads.cpp)
add_library(other_engine MODULE faults/other_engine.cpp)
foreach(name failing_calls few_threads)
  target_compile_features(${name} PRIVATE cxx_std_20)
  target_link_libraries(${name} PRIVATE dl)
endforeach()

brume_test(cli_test
  cli_batch_failures_test.cpp cli_batch_test.cpp cli_bench_test.cpp cli_embedding_test.cpp cli_errors_test.cpp
  cli_fixture.cpp cli_gallery_test.cpp cli_guidance_test.cpp cli_inpainting_test.cpp cli_lora_test.cpp cli_model_test.cpp
  cli_picture_test.cpp cli_prompt_test.cpp cli_single_file_test.cpp cli_start_test.cpp cli_stop_test.cpp cli_test.cpp
  json_schema.cpp program.cpp single_file_case.cpp weights/pickle_assembler.cpp weights/zip_assembler.cpp LABELS slow)
target_compile_definitions(cli_test PRIVATE BRUME_PROGRAM="$<TARGET_FILE:brume>"
                                            BRUME_FAILING_CALLS="$<TARGET_FILE:failing_calls>"
                                            BRUME_FEW_THREADS="$<TARGET_FILE:few_threads>"
                                            BRUME_OTHER_ENGINE="$<TARGET_FILE:other_engine>"
                                            BRUME_INSTALL="${CMAKE_COMMAND} --install ${PROJECT_BINARY_DIR} --prefix ")
target_link_libraries(cli_test PRIVATE util)
add_dependencies(cli_test brume failing_calls few_threads other_engine)
brume_test(cli_models_test
  cli_convert_test.cpp cli_fixture.cpp cli_vae_test.cpp program.cpp single_file_case.cpp LABELS slow)
target_compile_definitions(cli_models_test PRIVATE BRUME_PROGRAM="$<TARGET_FILE:brume>")
target_link_libraries(cli_models_test PRIVATE util)
add_dependencies(cli_models_test brume)

# The gallery's page in a browser; without one the test is skipped, or fails where BRUME_REQUIRE_BROWSER is set.
add_test(NAME gallery_browser_test COMMAND "${BRUME_PYTHON}" "${CMAKE_CURRENT_SOURCE_DIR}/browser/gallery_test.py")
set_tests_properties(gallery_browser_test PROPERTIES LABELS "browser;slow" SKIP_RETURN_CODE 77 TIMEOUT 300
  ENVIRONMENT "BRUME_PROGRAM=$<TARGET_FILE:brume>;PYTHONDONTWRITEBYTECODE=1")

add_executable(commit_pictures faults/commit_pictures.cpp)
target_link_libraries(commit_pictures PRIVATE brume_plain)

brume_test(commit_faults_test batch/commit_faults_test.cpp LABELS slow)
target_include_directories(commit_faults_test PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
target_compile_definitions(commit_faults_test PRIVATE BRUME_FAILING_CALLS="$<TARGET_FILE:failing_calls>"
                                                      BRUME_COMMIT_PICTURES="$<TARGET_FILE:commit_pictures>")
add_dependencies(commit_faults_test failing_calls commit_pictures)

# The cluster files. The first needs python3-yaml, which Debian brings for its own python3; without it a part is
# skipped. The second starts a Slurm of its own, as root and where tools/setup --slurm has been; else it is skipped, or
# fails where BRUME_REQUIRE_SLURM is set.
find_program(BRUME_DEBIAN_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH)
foreach(name cluster_files_test slurm_test)
  add_test(NAME ${name} COMMAND "$<IF:$<BOOL:${BRUME_DEBIAN_PYTHON}>,${BRUME_DEBIAN_PYTHON},${BRUME_PYTHON}>"
           "${CMAKE_CURRENT_SOURCE_DIR}/${name}.py")
  set_tests_properties(${name} PROPERTIES LABELS unit ENVIRONMENT "PYTHONDONTWRITEBYTECODE=1")
endforeach()
set_tests_properties(slurm_test PROPERTIES LABELS slurm TIMEOUT 300 SKIP_RETURN_CODE 77
  ENVIRONMENT "PYTHONDONTWRITEBYTECODE=1;BRUME_PROGRAM=$<TARGET_FILE:brume>")
