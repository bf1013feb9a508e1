# Installs a build to a prefix of its own, then builds strangers' projects against it and nothing
# else of this tree: a small one that uses every public header, and the examples.
# Called as a test with SOURCE_DIR, BINARY_DIR, COMPILER, FLAGS and VERSION.

set(prefix ${BINARY_DIR}/package/prefix)
file(REMOVE_RECURSE ${BINARY_DIR}/package)

function(run)
  execute_process(COMMAND ${ARGN} RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    list(JOIN ARGN " " words)
    message(FATAL_ERROR "failed: ${words}")
  endif()
endfunction()

function(build_stranger name source_dir)
  set(dir ${BINARY_DIR}/package/${name})
  run(${CMAKE_COMMAND} -G Ninja -S ${source_dir} -B ${dir} -D CMAKE_PREFIX_PATH=${prefix}
      -D CMAKE_CXX_COMPILER=${COMPILER} -D CMAKE_CXX_FLAGS=${FLAGS}
      -D VERSION=${VERSION} -D EXAMPLES_DIR=${SOURCE_DIR}/examples)
  run(${CMAKE_COMMAND} --build ${dir})
  run(${CMAKE_CTEST_COMMAND} --test-dir ${dir} --output-on-failure)
endfunction()

run(${CMAKE_COMMAND} --install ${BINARY_DIR} --prefix ${prefix})
if(EXISTS ${BINARY_DIR}/peer-relay)
  run(${prefix}/bin/peer-relay --version)
endif()

build_stranger(stranger ${SOURCE_DIR}/cmake/package_test)
file(GLOB projects ${SOURCE_DIR}/examples/CMakeLists.txt ${SOURCE_DIR}/examples/*/CMakeLists.txt)
foreach(project IN LISTS projects)
  cmake_path(GET project PARENT_PATH dir)
  cmake_path(GET dir FILENAME name)
  build_stranger(${name} ${dir})
endforeach()
