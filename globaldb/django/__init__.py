"""Django: reads beside the application, writes at the writer, with one alias.

``ENGINE`` is ``globaldb.django.postgresql`` or ``globaldb.django.mysql``; the nodes stand
in ``OPTIONS["globaldb"]``. See docs/howto/django.md.
"""
