# find_package(objectstreaming) gives the target objectstreaming::objectstreaming, which has the include directory.
if(NOT TARGET objectstreaming::objectstreaming)
    get_filename_component(_objectstreaming_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)
    add_library(objectstreaming::objectstreaming INTERFACE IMPORTED)
    set_target_properties(objectstreaming::objectstreaming PROPERTIES
        INTERFACE_INCLUDE_DIRECTORIES "${_objectstreaming_prefix}/include")
    unset(_objectstreaming_prefix)
endif()
