# The example starts, says how to reach it, and ends with its input.
execute_process(COMMAND ${CHAT} INPUT_FILE /dev/null OUTPUT_VARIABLE output RESULT_VARIABLE status
                TIMEOUT 20)
if(NOT status EQUAL 0 OR NOT output MATCHES "Now run: .* ws://127\\.0\\.0\\.1:[0-9]+ [0-9a-f]+\n")
  message(FATAL_ERROR "chat ended with ${status} and said: ${output}")
endif()
