# How every file of this project is compiled and linked.

if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
# Our asserts do not hang on NDEBUG, so nothing is gained by defining it.
set(CMAKE_CXX_FLAGS_RELEASE "-O2")

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_CXX_SCAN_FOR_MODULES OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
if(BUILD_SHARED_LIBS)
  # An installed binary finds the library beside it, wherever both were put.
  set(CMAKE_INSTALL_RPATH "\$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
endif()
set(THREADS_PREFER_PTHREAD_FLAG ON)

# A designated initializer says what it sets; what it leaves out keeps its default, and that is the
# point of it.
add_compile_options(-Wall -Wextra -Wconversion -Wshadow -Wno-missing-field-initializers)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # An assert that says why it cannot be reached is a string turned into false. And libstdc++ 12's own
  # stable_sort calls what it has deprecated itself; g++ watches over our calls.
  add_compile_options(-Wno-string-conversion -Wno-deprecated-declarations)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT PEER_RELAY_SANITIZE)
  # g++ 12 takes untaken alternatives of a std::variant for uninitialized, and short strings for
  # overlapping ones (GCC bugs 80635 and 105651).
  add_compile_options(-Wno-maybe-uninitialized -Wno-restrict)
endif()
if(PEER_RELAY_STRICT)
  add_compile_options(-Werror)
  add_compile_definitions(_GLIBCXX_ASSERTIONS)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # These follow values through inlined code, and g++ 12 sees ghosts there: more of them with a
    # sanitizer's branches in between (GCC bug 105651 and kin). They may speak, not stop the work.
    add_compile_options(
      -Wno-error=array-bounds -Wno-error=free-nonheap-object -Wno-error=maybe-uninitialized
      -Wno-error=nonnull -Wno-error=null-dereference -Wno-error=restrict
      -Wno-error=stringop-overflow -Wno-error=stringop-overread -Wno-error=use-after-free)
  endif()
endif()

if(PEER_RELAY_SANITIZE)
  # vptr needs the type information that core is built without.
  add_compile_options(-fsanitize=${PEER_RELAY_SANITIZE} -fno-sanitize=vptr
                      -fno-sanitize-recover=undefined)
  add_link_options(-fsanitize=${PEER_RELAY_SANITIZE})
endif()

# Where files are mostly Boost, CLI11 or JSON, checking every access in *their* code takes most of the
# build (a file of Beast: 69 s, and 24 s with these). What is left out here, ASan sees anyway.
set(lean_checks "")
if(PEER_RELAY_SANITIZE MATCHES undefined)
  set(lean_checks -Og -g1 -fno-sanitize=null,alignment,object-size)
endif()

if(PEER_RELAY_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
    message(FATAL_ERROR "PEER_RELAY_FUZZ needs clang, which brings libFuzzer: use the preset 'fuzz'.")
  endif()
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# The same bytes come out wherever the checkout stands, and no path of it goes in.
add_compile_options(-ffile-prefix-map=${PROJECT_SOURCE_DIR}/=)

find_program(CCACHE ccache)
if(CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # Two clones share what either has compiled: paths below the checkout count as relative ones.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${PROJECT_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
endif()

include(CheckLinkerFlag)
check_linker_flag(CXX -fuse-ld=mold PEER_RELAY_HAS_MOLD)
check_linker_flag(CXX -fuse-ld=lld PEER_RELAY_HAS_LLD)
if(PEER_RELAY_HAS_MOLD)
  add_link_options(-fuse-ld=mold)
elseif(PEER_RELAY_HAS_LLD)
  add_link_options(-fuse-ld=lld)
endif()

add_compile_definitions(PEER_RELAY_VERSION="${PROJECT_VERSION}")
