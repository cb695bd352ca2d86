# One interface target carries the language level, the warnings and the sanitizers of all our targets.
add_library(brume_options INTERFACE)
target_compile_features(brume_options INTERFACE cxx_std_20)
target_compile_options(brume_options INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor
  # All of it may come to lie in the engine's library; for all alike, as the tests share its precompiled header. Nobody
  # replaces our functions, so the compiler may go on to inline them.
  -fPIC -fno-semantic-interposition
  # GCC 12 sees overlaps in std::string and lengths in std::string that are not there (GCC bug 105651).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
  $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overflow>
  $<$<BOOL:${BRUME_WERROR}>:-Werror>)
if(BRUME_SANITIZE)
  target_compile_options(brume_options INTERFACE -fsanitize=${BRUME_SANITIZE} -fno-sanitize-recover=all
                                                -fno-omit-frame-pointer)
  target_link_options(brume_options INTERFACE -fsanitize=${BRUME_SANITIZE})
endif()
