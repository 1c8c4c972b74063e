# YAML as a tree, and the schema that reads it.
ifeq ($(MEDIA),1)
SRC += $(addprefix jobs/yaml/, \
    yaml_text.c yaml_tree.c yaml_schema.c yaml_value.c duration.c)
endif
